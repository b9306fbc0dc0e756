"""What the program is made of: settings, the choice of platform, and each platform's components."""
