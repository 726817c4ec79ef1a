// Package wire holds the types that travel between knarr-keep and its clients.
// It has no code besides, so that any program can speak the protocol.
//
// # Protocol
//
// A client connects to keep's Unix stream socket as uid 0 (keep checks the
// peer's credentials) and writes requests, one JSON object per line, at most
// [MaxLine] bytes. Keep answers each with one line, in order. Descriptors
// travel as SCM_RIGHTS on the first byte of the line that names their number
// in "fds", at most [MaxFDs] of them.
//
//	start     {"op":"start","service":{...}}        start, or find running with an equal spec, or replace
//	stop      {"op":"stop","name":n,"signal":s,"graceMillis":g}   stop and forget the service; answers when it is gone
//	list      {"op":"list"}                         "services" in the answer
//	events    {"op":"events"}                       one "event" line per service, then "sync", then one per change, until hang-up
//	shutdown  {"op":"shutdown","stopServices":b}    end keep; held descriptors close
//	reexec    {"op":"reexec","path":p}              run p in place; services, sockets and holds stay. The connection ends
//	hold      {"op":"hold","key":k,"fds":n} + fds   keep descriptors open under k, in place of earlier ones
//	take      {"op":"take","key":k}                 duplicates of what is held under k; keep goes on holding
//	drop      {"op":"drop","key":k}                 close what is held under k; no error if there is none
//	holds     {"op":"holds"}                        "holds" in the answer
//	exits     {"op":"exits","since":q}              one "exit" line per reaped orphan with a sequence number above q, then "sync",
//	                                                then one per later exit, until hang-up
//	forget    {"op":"forget","pid":p,"startTime":t} drop the exit record; no error if there is none
//
// A listening socket reaches a service as descriptor 3 and up, in the order of
// "listen", with LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES set as
// sd_listen_fds(3) describes.
//
// Exit records are kept for the newest 65,536 orphans. They are in the state
// folder, so that they outlive keep.
package wire
