"""What becomes of tags with time: retention."""
