// Package sdk is what a connector author imports.
//
// A connector knows one system that holds personal data. It says how to find
// one person there and, where the system allows it, how to copy that person's
// records out, erase them, correct them or stop their sale. Everything else is
// done by the runtime: it takes jobs from the bus, opens the sealed
// identifiers, retries what is worth retrying, looks before and after an act,
// signs what it saw and publishes it as evidence.
//
// The driver is what the author cannot avoid; all else is ours. An author
// writes [Connector] and, for each ability the system has, one more method:
// [Eraser], [Exporter], [Corrector], [OptOuter], [Resumer], [Limiter],
// [LimitLifter], [Resolver], [Lister]. The runtime finds abilities by type assertion. [Main] makes a program of it, and package
// sdktest holds the promises every connector must keep.
//
// Errors are instructions, a closed set: [Permanent] ends the job as failed,
// [NotYet] says the system accepted the work and is not finished, and any
// other error is retried with backoff. The text of an error never carries an
// identifier.
//
// Public names of this package are promises: they are added to, never changed.
package sdk
