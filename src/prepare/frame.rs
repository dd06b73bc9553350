//! What is in a message: one event or many, told apart by looking at the bytes.
