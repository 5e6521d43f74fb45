// Package check says what is wrong with a configuration on this host, and what
// would be safer: the one list that knockd -t and knockctl check print.
//
// It runs nothing and changes nothing. What it may not look at it says.
package check
