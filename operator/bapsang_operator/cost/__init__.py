"""What an estate on AWS costs, carries and survives: pure functions over a design, the traffic and the price book."""
