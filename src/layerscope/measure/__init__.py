"""Numbers about nets and blobs: cost, statistics, top classes.  No file format is known here."""
