package verify

import (
	"fmt"

	"github.com/habeas-data/habeas/services/internal/mail"
)

// codeText is the message that carries a code to a requester.
func codeText(language, company, code string) mail.Message {
	if language == "es" {
		return mail.Message{Language: "es", Subject: "Su código de confirmación", Text: fmt.Sprintf(`Alguien hizo una solicitud de privacidad a %s con esta dirección.

Su código: %s

Si fue usted, escríbalo en la página donde hizo la solicitud. Así sabemos que la
dirección es suya.

Si no fue usted, no haga nada. Sin el código no se entrega, borra ni corrige nada.
`, company, code)}
	}
	return mail.Message{Language: "en", Subject: "Your confirmation code", Text: fmt.Sprintf(`Somebody made a privacy request to %s with this address.

Your code: %s

If it was you, enter it on the page where you made the request. It shows us that
the address is yours.

If it was not you, do nothing. Without the code nothing is released, deleted or
corrected.
`, company, code)}
}

// confirmText asks a consumer whether she gave an agent permission.
func confirmText(language, company, code string) mail.Message {
	if language == "es" {
		return mail.Message{Language: "es", Subject: "¿Dio usted este permiso?", Text: fmt.Sprintf(`Un agente hizo una solicitud de privacidad a %s en su nombre, con un permiso
firmado.

Si usted dio ese permiso, dé este código a su agente o escríbalo en la página de la
solicitud: %s

Si no lo dio, no haga nada.
`, company, code)}
	}
	return mail.Message{Language: "en", Subject: "Did you give this permission?", Text: fmt.Sprintf(`An agent made a privacy request to %s for you, with a signed permission.

If you gave that permission, give your agent this code, or enter it on the page
of the request: %s

If you did not, do nothing.
`, company, code)}
}

// textCode is the text message that carries a code. It is of letters that fit
// one message (GSM 03.38). Its last line is the form in which phones offer a
// code on the pages of one host and on no others.
func textCode(language, company, code, host string, confirm bool) string {
	text := "%s: your code is %s. It shows that this number is yours. Didn't make a privacy request? Do nothing."
	switch {
	case language == "es" && confirm:
		text = "%s: un agente hizo una solicitud en su nombre. Si usted lo permite, dele esta clave: %s. Si no, no haga nada."
	case language == "es":
		text = "%s: su clave es %s. Muestra que este es su teléfono. Si no hizo una solicitud de privacidad, no haga nada."
	case confirm:
		text = "%s: an agent made a privacy request for you. If you allow it, give them this code: %s. If not, do nothing."
	}
	text = fmt.Sprintf(text, company, code)
	if host != "" {
		text += "\n\n@" + host + " #" + code
	}
	return text
}

// DownloadText is the text message that carries the code for a download.
func (r *Room) DownloadText(language, code string) string {
	text := "%s: your code to download your copy is %s, good for 15 minutes. If it was not you, do nothing."
	if language == "es" {
		text = "%s: su clave para descargar su copia es %s, vale por 15 minutos. Si no fue usted, no haga nada."
	}
	text = fmt.Sprintf(text, r.Company, code)
	if r.Host != "" {
		text += "\n\n@" + r.Host + " #" + code
	}
	return text
}
