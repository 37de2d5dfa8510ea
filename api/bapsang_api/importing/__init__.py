"""Moving in: takes over the database of an older server, whose tables are those of the contract's data model."""
