"""What stands in for things that a closed network cannot fetch. Everything here says that it is a stand-in."""
