// Package filelock keeps the instances of one connector, which share a folder, from
// changing a file of it at once. It owes its callers that a lock ends with the
// process that has it, however that ends. Where a system has no such locks there is
// none: there, one instance is to be run.
package filelock
