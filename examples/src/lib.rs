//! Nothing but a home for the examples: each is a program of its own.
