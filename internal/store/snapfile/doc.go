// Package snapfile is the file format of store snapshots, which every engine
// writes and restores.
//
// A file is the line "knarr-snapshot 1\n" followed by frames. A frame is a
// length (32 bits), that many bytes of payload, and the CRC-32C of the payload
// (32 bits); numbers are big-endian. The first byte of a payload is its type:
//
//	'h' header: revision (64 bits), time in unix nanoseconds (64 bits); first
//	'r' records, each: key length, key, revision of the last write, expiry in
//	    unix nanoseconds (zero: none), value length, value; numbers are
//	    unsigned varints; keys ascend through the whole file
//	'e' end: number of records (64 bits), SHA-256 of all payloads before; last
//
// A reader accepts nothing that is cut short, changed or out of order.
package snapfile
