// Package powerloss shows what is left of a program's files when the power goes.
//
// A Disk is a FUSE file system in memory, filled from a directory, that records every operation in order in the journal
// of its Machine, which its disks share. A process of its own serves them: whatever happens to a test, nothing waits for
// its disks for ever, and no mount stays. Programs run on the disks; whoever was told something by them (an answer of
// 200, a commit, a message that Telegram accepted) notes the journal's position at that moment. Afterwards Survivor
// builds, for any position, the directory that a disk would hold if the power had gone there: without the writes that
// no completed fsync covers. So one run of the programs gives as many power cuts as one likes.
//
// How the kernel delivers things, and what follows:
//   - Files are opened for direct I/O: each write(2) arrives before it returns, nothing waits in the page cache, and a
//     shared mapping for writing is refused. The one exception are files whose name ends in "-shm": SQLite's index of
//     its write-ahead log, which it maps, never syncs, and rebuilds after a crash. Their loss is harmless by design.
//   - There is no writeback cache and no passthrough. copy_file_range is not offered; the kernel copies by reading and
//     writing instead.
//   - O_DSYNC and O_SYNC come as flags of the open; the kernel sends no fsync after a direct write. A write through
//     such a handle counts as synced once it returns.
//   - An fsync covers what was recorded before it began, not what came while it ran.
package powerloss
