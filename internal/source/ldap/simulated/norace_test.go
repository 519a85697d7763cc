//go:build !race

package simulated

// points is how many faults each line of the table of TestNoFaultTakesAnybodyAway
// sees.
const points = 110
