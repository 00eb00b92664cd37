package delivery

// statutory names the categories of Civ. Code 1798.140(v)(1), by letter: a
// short name and a sentence of what belongs there.
var statutory = map[string][2]string{
	"A": {"Identifiers", "Name, alias, postal or email address, account name, IP address, online or device identifier, and the like."},
	"B": {"Customer records", "Personal information described in Civil Code section 1798.80(e), such as signature, telephone number, employment, or bank and card details."},
	"C": {"Characteristics of protected classifications", "Such as age, sex, national origin or veteran status, under California or federal law."},
	"D": {"Commercial information", "Products or services bought, obtained or considered, and other purchasing histories or tendencies."},
	"E": {"Biometric information", "Physiological, biological or behavioural characteristics that can establish identity."},
	"F": {"Internet or other electronic network activity", "Browsing and search history, and interactions with websites, applications or advertisements."},
	"G": {"Geolocation data", "Physical location or movements."},
	"H": {"Audio, electronic, visual, thermal, olfactory or similar information", "Such as photos and recordings."},
	"I": {"Professional or employment-related information", "Such as job title and employer."},
	"J": {"Education information", "Education records that are not publicly available."},
	"K": {"Inferences", "Conclusions drawn from other information to make a profile of preferences, characteristics or behaviour."},
	"L": {"Sensitive personal information", "Such as government identifiers, account credentials, precise location, health, or the contents of messages."},
}

func categoryName(letter string) string {
	if names, ok := statutory[letter]; ok {
		return names[0]
	}
	if letter == "" {
		return "Not classified"
	}
	return "Category " + letter
}

func categoryText(letter string) string { return statutory[letter][1] }
