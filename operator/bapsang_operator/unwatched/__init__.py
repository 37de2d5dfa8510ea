"""What a pass reads by name because no watch holds it: Secrets, nodes, Events, other autoscalers."""
