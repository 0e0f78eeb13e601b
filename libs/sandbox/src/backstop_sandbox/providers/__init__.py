"""The answers of each provider in its documented shape. Pure: a view of the generation in, an `Answer` out."""
