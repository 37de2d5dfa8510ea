"""What the watches know: live objects in memory, and the queue of Communities to reconcile. Writes nothing."""
