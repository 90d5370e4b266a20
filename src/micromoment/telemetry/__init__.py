"""What operators see: metrics and logs. Neither holds an id of a person, a visit or an event."""
