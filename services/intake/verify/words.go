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
