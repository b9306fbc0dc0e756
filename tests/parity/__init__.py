"""The same cases against whichever plugins are installed: the bundled ones, or the official ones."""
