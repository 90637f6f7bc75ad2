"""The rules, by kind of op."""
