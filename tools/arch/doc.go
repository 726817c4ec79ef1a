// Package arch holds the house rules as ordinary tests: which package may
// import which, that each says what it is for, how long files and functions
// may grow, and where no clock is read. A rule that a test holds exists; the
// reason stands beside it.
package arch
