//! A mirror that follows a mirror ends up equal to it, whatever is published meanwhile and whoever
//! is killed.

mod equal;
