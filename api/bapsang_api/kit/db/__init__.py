"""The database: connections, transactions, and what statements are made of."""
