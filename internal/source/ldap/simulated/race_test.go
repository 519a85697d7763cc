//go:build race

package simulated

// With the race detector everything here takes eight times as long: it sees
// fewer faults, and `make test` runs the package once more without it.
const points = 20
