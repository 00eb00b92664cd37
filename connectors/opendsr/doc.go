// Package opendsr is the controller's side of OpenDSR 2.0: it hands a data
// subject request to a processor exactly once, follows it to its end, and
// believes nothing that the processor did not sign.
//
// A [Client] speaks the protocol with one configured [Processor]. A [Ledger]
// remembers every request before it is sent, so that a lost answer or a crash
// leads to a look-up and never to a second request. A [Controller] joins the
// two into one call, [Controller.Ensure], that a connector makes on every
// attempt of a job. Served as an HTTP handler, it takes the processors'
// notifications.
//
// Processors are configured, never discovered from a message: neither a header
// nor a body can make this package open a connection to a host that is not in
// the configuration. Request bodies hold identities, so they are kept only
// until the processor has acknowledged them, and no error repeats anything a
// processor wrote in free text.
//
// The protocol is described in the OpenDSR repository (specification.md, 2.0)
// and its security guidelines. The older OpenGDPR 1.0 routes and header names
// are honoured as section 10.1 asks.
package opendsr
