"""Other servers: who is told of events, what is copied from and to where, who scans."""
