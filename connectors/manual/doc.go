// Package manual is the connector of systems that have no API: a filing cabinet,
// an archive of tapes, a vendor who is written to.
//
// It owes the runtime what every connector does, and gets it from people. A job
// becomes a task. Somebody at the console opens it, sees whom it is about, looks
// into the system and says how many records there are in each store; when the job
// is to erase, the task comes back, somebody erases, looks again, and says what is
// left and why. So what was located is on record before anything is erased, a limit
// holds, and what is believed is the second look. A correction goes the same way,
// field by field.
//
// Tasks are kept in files of the connector's own folder, encrypted, and survive
// restarts; a task that is done forgets whom it was about. Of documents that were
// attached the outcome has the digest, and they stay here for as long as they are
// to be kept. Instances that share the folder share the tasks.
package manual
