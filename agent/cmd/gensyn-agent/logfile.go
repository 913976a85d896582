package main

import "os"

// maxLog is how large a log grows before it is begun anew; the one before is kept.
const maxLog = 1 << 20

// logFile is a log where nobody else keeps one. It is opened with the first line. It is used under the logger's lock.
type logFile struct {
	name string
	file *os.File
	size int64
}

// Write implements io.Writer.
func (l *logFile) Write(line []byte) (int, error) {
	if l.file != nil && l.size+int64(len(line)) > maxLog {
		l.Close()
		_ = os.Remove(l.name + ".1")
		_ = os.Rename(l.name, l.name+".1")
	}
	if l.file == nil {
		f, err := os.OpenFile(l.name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return 0, err
		}
		l.file, l.size = f, 0
		if info, err := f.Stat(); err == nil {
			l.size = info.Size()
		}
	}
	n, err := l.file.Write(line)
	l.size += int64(n)
	return n, err
}

// Close closes the file; the next line opens it again.
func (l *logFile) Close() {
	if l.file != nil {
		_ = l.file.Close()
		l.file = nil
	}
}
