"""How a machine gets what the project needs (toolchain), and what stands in on a closed network (offline)."""
