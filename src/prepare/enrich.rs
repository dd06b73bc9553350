//! Adding what the addresses of an event tell: the geo objects.
