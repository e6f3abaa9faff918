"""The programming interface: endpoints, what they take and give, how a run is told of."""
