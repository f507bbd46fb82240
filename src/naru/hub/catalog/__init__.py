"""What there is: repositories and images, as people see them."""
