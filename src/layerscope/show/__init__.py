"""Nets and runs for people: tables, pictures, notebook and report."""
