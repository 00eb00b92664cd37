// Package lake is the engine for files in object storage: it finds, copies and
// erases people in files that hold many people each.
//
// What it promises its callers:
//
//   - Find, then forget. An erasure first reads every file of every store. If
//     one can't be read to its end, or holds a record the map doesn't describe,
//     nothing is rewritten: what can't be read could be the person.
//   - A file is replaced whole or not at all, and only if it is still the
//     version that was read. A writer that appends or replaces in between loses
//     nothing; the rewriting starts again from what it wrote.
//   - Records of other people stay byte for byte as they were, in their order.
//   - Rewriting a file is idempotent and files are independent, so a pass that
//     stopped anywhere is finished by doing it again.
//   - One pass serves many people for about the cost of one, in memory that
//     does not grow with the size of a file.
//
// A [Map] says what the files hold. Paths of files appear in errors and logs,
// so a lake that puts identifiers into file names is not one this engine should
// be pointed at.
package lake
