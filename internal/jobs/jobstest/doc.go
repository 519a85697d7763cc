// Package jobstest is the suite of the queues: what River on PostgreSQL and the
// table of the embedded database must do alike. It hands nothing on.
package jobstest
