//! The German texts.

use super::TextKey;

/// Returns a text in German.
pub(super) fn text(key: TextKey) -> &'static str {
    use TextKey::*;
    match key {
        PageHelp => "Brauchen Sie Hilfe? Wenden Sie sich an {seller}:",
        PageWayBack => {
            "Öffnen Sie in der AWS-Konsole AWS Marketplace und dort „Manage subscriptions“. Wählen Sie Ihr Abonnement aus und klicken Sie auf „Set up your account“. Dadurch kommen Sie wieder auf diese Seite. Sie müssen das Produkt nicht noch einmal abonnieren."
        }
        WelcomeTitle => "Richten Sie Ihr AWS-Marketplace-Abonnement ein",
        WelcomeText => {
            "Auf dieser Seite werden Abonnements registriert, die bei {seller} über AWS Marketplace gekauft wurden. Eine Registrierung beginnt in der AWS-Konsole."
        }
        SignUpTitle => "Schließen Sie Ihre Registrierung ab",
        SignUpText => {
            "Wir haben Ihr AWS-Marketplace-Abonnement gefunden. Bitte teilen Sie uns mit, wer Sie sind."
        }
        SignUpUnfinishedTitle => "Setzen Sie Ihre Registrierung fort",
        SignUpUnfinishedText => {
            "Sie haben bereits begonnen, dieses Abonnement zu registrieren. Bitte schließen Sie die Registrierung jetzt ab."
        }
        SignUpFinishedTitle => "Ihr Abonnement ist registriert",
        SignUpFinishedText => {
            "Sie haben diese Registrierung bereits abgeschlossen und müssen nichts weiter tun. Wenn sich Ihre Angaben geändert haben, können Sie sie erneut senden."
        }
        SignUpPending => {
            "AWS bestätigt den Kauf innerhalb weniger Minuten. Sie müssen nicht darauf warten."
        }
        SignUpEnding => {
            "AWS Marketplace hat gemeldet, dass dieses Abonnement in Kürze endet. Wenn Sie es gerade verlängert oder neu abgeschlossen haben, fahren Sie bitte fort: AWS bestätigt das in wenigen Minuten."
        }
        SignUpEnded => {
            "AWS Marketplace hat gemeldet, dass dieses Abonnement beendet ist. Wenn Sie es gerade neu abgeschlossen haben, fahren Sie bitte fort: AWS bestätigt das in wenigen Minuten. Wenn nicht, schließen Sie es bitte zuerst auf AWS Marketplace neu ab."
        }
        SignUpFreeTrial => "Dieses Abonnement ist eine kostenlose Testversion.",
        SignUpSameProduct => {
            "Ihr AWS-Konto hat hier ein weiteres Abonnement für dieses Produkt. Beide bleiben getrennt: Diese Registrierung ändert das andere Abonnement nicht."
        }
        SignUpOtherProducts => {
            "Ihr AWS-Konto hat hier ein Abonnement für ein anderes Produkt. Diese Registrierung ändert es nicht."
        }
        SignUpTurnaround => {
            "Nach der Registrierung richten wir Ihr Konto ein. Das dauert normalerweise {turnaround}."
        }
        SignUpAccountQuestion => "Haben Sie bereits ein Konto bei {seller}?",
        SignUpSignIn => "Melden Sie sich bei Ihrem Konto an",
        SignUpRequired => "erforderlich",
        SignUpOptional => "optional",
        SignUpSubmit => "Registrierung abschließen",
        SignUpSubmitAgain => "Angaben erneut senden",
        FieldCompany => "Unternehmen",
        FieldName => "Ihr Name",
        FieldEmail => "E-Mail-Adresse",
        FieldNote => "Anmerkung",
        ProblemTitle => "Bitte korrigieren Sie Ihre Angaben",
        ProblemMissing => "Dieses Feld muss ausgefüllt werden.",
        ProblemTooLong => "Dieser Text ist zu lang. Höchstens {max} Zeichen sind möglich.",
        ProblemControl => {
            "Dieser Text enthält ein Zeichen, das nicht dargestellt werden kann, zum Beispiel einen Tabulator oder einen Zeilenumbruch. Bitte entfernen Sie es."
        }
        ProblemEmail => {
            "Eine E-Mail-Adresse besteht aus einem Namen, einem @ und einer Domain, ohne Leerzeichen, zum Beispiel name@example.com."
        }
        ThanksTitle => "Vielen Dank",
        ThanksText => "Ihre Registrierung ist abgeschlossen. Sie können diese Seite schließen.",
        ThanksTurnaround => {
            "Wir richten jetzt Ihr Konto ein. Das dauert normalerweise {turnaround}."
        }
        SetUpAgainTitle => "Bitte beginnen Sie noch einmal in der AWS-Konsole",
        SetUpAgainText => {
            "Diese Registrierung ist ungültig oder nicht mehr gültig. Ihr Abonnement ist davon nicht betroffen."
        }
        NoCookieTitle => "In diesem Browser ist keine Registrierung geöffnet",
        NoCookieText => {
            "Eine Registrierung bleibt eine Stunde lang geöffnet und endet, sobald sie abgeschlossen ist. Außerdem muss der Browser die Cookies dieser Seite annehmen. Ihr Abonnement ist davon nicht betroffen."
        }
        WrongFormTitle => "In diesem Browser ist eine andere Registrierung geöffnet",
        WrongFormText => {
            "Sie haben nach dieser Registrierung eine andere geöffnet, vielleicht in einem anderen Tab. Aus diesem Formular wurde nichts gespeichert. Bitte schließen Sie zuerst die Registrierung ab, die Sie zuletzt geöffnet haben, und beginnen Sie diese dann noch einmal."
        }
        MalformedTitle => "Die Registrierung konnte nicht gelesen werden",
        MalformedNoToken => {
            "Ihr Browser hat kein Registrierungstoken von AWS Marketplace gesendet."
        }
        MalformedInvalidToken => {
            "Ihr Browser hat ein Registrierungstoken gesendet, das nicht von AWS Marketplace stammen kann."
        }
        MalformedUnreadable => {
            "Ihr Browser hat ein Formular gesendet, dessen Felder nicht gelesen werden konnten."
        }
        OtherProductTitle => "Dieses Produkt wird an anderer Stelle registriert",
        OtherProductText => {
            "Ihr Abonnement gilt für das Produkt mit dem Code {product}. Auf dieser Seite wird dieses Produkt nicht registriert. Bitte wenden Sie sich an die unten genannte Adresse."
        }
        TryAgainTitle => "Bitte versuchen Sie es in einer Minute noch einmal",
        TryAgainText => {
            "Die Registrierung kann im Moment nicht abgeschlossen werden. Ihr Abonnement ist davon nicht betroffen, und es ist nichts verloren gegangen."
        }
        TryAgainWhatToDo => {
            "Laden Sie diese Seite in einer Minute neu, oder klicken Sie in der AWS-Konsole noch einmal auf „Set up your account“."
        }
        ContactSupportTitle => "Die Registrierung konnte nicht abgeschlossen werden",
        ContactSupportText => {
            "Wir müssen zuerst ein Problem auf unserer Seite beheben. Ihr Abonnement ist davon nicht betroffen. Bitte wenden Sie sich an die unten genannte Adresse."
        }
        NotFoundTitle => "Diese Seite gibt es nicht",
        MethodNotAllowedTitle => "Diese Adresse kann so nicht verwendet werden",
        TooLargeTitle => "Das Formular ist zu groß",
        TooLargeText => {
            "Das Formular enthält mehr Daten, als diese Seite annimmt. Bitte kürzen Sie Ihre Texte und senden Sie das Formular noch einmal."
        }
        WrongContentTypeTitle => "Das Formular hat einen unbekannten Typ",
        WrongContentTypeText => {
            "Diese Adresse nimmt nur Formulare vom Typ application/x-www-form-urlencoded an, wie Browser sie senden."
        }
    }
}
