//! Geo look-ups: the database, the fragments that are ready to be copied, the address cache.
