// Package logs reads and rotates the log files of containers, which the
// runtime writes in CRI's format: one line per record, of time, stream, a tag
// (P for a part of a line, F for its end) and text.
//
// A container's log is one current file and older ones beside it that
// rotation has renamed; a reader takes them as one text. Reading is bounded:
// records are at most a few times the runtime's 16 KiB, whatever the file
// holds. Following a log waits for the kernel's file events, never by time; all
// followers of a process share one watcher.
package logs
