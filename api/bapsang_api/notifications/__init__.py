"""What people are told of: rows in the order in which they were committed. `inbox` reads them."""
