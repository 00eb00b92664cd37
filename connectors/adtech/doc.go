// Command adtech is the connector for an advertising identity graph and the
// partners its audiences are shared with.
//
// It finds a person by cookie, e-mail address or account, and knows which
// devices and cookies are hers alone. Erasing her tells every partner first
// and removes her own rows last; an opt-out takes effect at once, needs no
// verified identity and reaches every profile the same links would advertise
// to.
package main
