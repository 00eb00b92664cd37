package sms

import "time"

// Wait sets how long answers are waited for.
func (t *Twilio) Wait(d time.Duration) { t.client.Timeout = d }

// Public reports whether an address may be called.
var Public = public
