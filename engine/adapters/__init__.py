"""The engine's results in the types of other people's libraries."""
