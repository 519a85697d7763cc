package db

// LimitLog sets the lengths of SQLite's log, in bytes, at which it is copied and
// begun anew.
func (d *DB) LimitLog(copied, begun int) { d.writer.log.limits = logLimits{copied, begun} }

// LogCopied waits until the log is not being copied.
func (d *DB) LogCopied() {
	d.writer.log.under <- struct{}{}
	<-d.writer.log.under
}

// BreakCopying lets nothing but the writer's own connection reach the file.
func (d *DB) BreakCopying() error { return d.write.Close() }

// Page is the size of a page, in bytes, by which the log's length is reckoned.
func (d *DB) Page() int { return d.writer.log.page }
