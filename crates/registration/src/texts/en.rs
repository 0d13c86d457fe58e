//! The English texts.

use super::TextKey;

/// Returns a text in English.
pub(super) fn text(key: TextKey) -> &'static str {
    use TextKey::*;
    match key {
        PageHelp => "Do you need help? Contact {seller}:",
        PageWayBack => {
            "In the AWS console, open AWS Marketplace and then “Manage subscriptions”. Choose your subscription and press “Set up your account”. That brings you back to this page. You do not have to subscribe again."
        }
        WelcomeTitle => "Set up your AWS Marketplace subscription",
        WelcomeText => {
            "This page registers subscriptions that were bought from {seller} on AWS Marketplace. A registration begins in the AWS console."
        }
        SignUpTitle => "Complete your registration",
        SignUpText => {
            "We have found your AWS Marketplace subscription. Please tell us who you are."
        }
        SignUpUnfinishedTitle => "Continue your registration",
        SignUpUnfinishedText => {
            "You have started to register this subscription before. Please complete the registration now."
        }
        SignUpFinishedTitle => "Your subscription is registered",
        SignUpFinishedText => {
            "You have completed this registration before, so there is nothing left to do. If your details have changed, you can send them again."
        }
        SignUpPending => {
            "AWS confirms the purchase within a few minutes. You do not have to wait for that."
        }
        SignUpEnding => {
            "AWS Marketplace has reported that this subscription is about to end. If you have just renewed it or bought it again, please continue: AWS confirms that within a few minutes."
        }
        SignUpEnded => {
            "AWS Marketplace has reported that this subscription has ended. If you have just bought it again, please continue: AWS confirms that within a few minutes. If you have not, please subscribe to it again on AWS Marketplace first."
        }
        SignUpFreeTrial => "This subscription is a free trial.",
        SignUpSameProduct => {
            "Your AWS account has another subscription to this product here. The two are kept apart: this registration does not change the other one."
        }
        SignUpOtherProducts => {
            "Your AWS account has a subscription to another product here. This registration does not change it."
        }
        SignUpTurnaround => {
            "After the registration, we set up your account. That usually takes {turnaround}."
        }
        SignUpAccountQuestion => "Do you have an account with {seller} already?",
        SignUpSignIn => "Sign in to your account",
        SignUpRequired => "required",
        SignUpOptional => "optional",
        SignUpSubmit => "Complete the registration",
        SignUpSubmitAgain => "Send the details again",
        FieldCompany => "Company",
        FieldName => "Your name",
        FieldEmail => "E-mail address",
        FieldNote => "Note",
        ProblemTitle => "Please correct your details",
        ProblemMissing => "This field must be filled in.",
        ProblemTooLong => "This text is too long. At most {max} characters fit.",
        ProblemControl => {
            "This text contains a character that cannot be shown, such as a tab or a line break. Please remove it."
        }
        ProblemEmail => {
            "An e-mail address needs a name, an @ and a domain, without spaces, as in name@example.com."
        }
        ThanksTitle => "Thank you",
        ThanksText => "Your registration is complete. You can close this page.",
        ThanksTurnaround => "We now set up your account. That usually takes {turnaround}.",
        SetUpAgainTitle => "Please start again from the AWS console",
        SetUpAgainText => {
            "This registration is not valid, or is no longer valid. Your subscription is not affected."
        }
        NoCookieTitle => "No registration is open in this browser",
        NoCookieText => {
            "A registration stays open for an hour and ends when it is completed. It also needs a browser that accepts this page's cookies. Your subscription is not affected."
        }
        WrongFormTitle => "Another registration is open in this browser",
        WrongFormText => {
            "You have opened another registration after this one, perhaps in another tab. Nothing from this form was stored. Please complete the registration that you opened last, and then start this one again."
        }
        MalformedTitle => "The registration could not be read",
        MalformedNoToken => "Your browser sent no registration token from AWS Marketplace.",
        MalformedInvalidToken => {
            "Your browser sent a registration token that cannot come from AWS Marketplace."
        }
        MalformedUnreadable => "Your browser sent a form whose fields could not be read.",
        OtherProductTitle => "This product is registered elsewhere",
        OtherProductText => {
            "Your subscription is to the product with the code {product}. This page does not register that product. Please contact support at the address below."
        }
        TryAgainTitle => "Please try again in a minute",
        TryAgainText => {
            "The registration cannot be completed at this moment. Your subscription is not affected, and nothing has been lost."
        }
        TryAgainWhatToDo => {
            "Reload this page in a minute, or press “Set up your account” in the AWS console again."
        }
        ContactSupportTitle => "The registration could not be completed",
        ContactSupportText => {
            "We must first correct a problem on our side. Your subscription is not affected. Please contact support at the address below."
        }
        NotFoundTitle => "There is no such page",
        MethodNotAllowedTitle => "This address cannot be used in this way",
        TooLargeTitle => "The form is too large",
        TooLargeText => {
            "The form contains more data than this page accepts. Please shorten your texts and send the form again."
        }
        WrongContentTypeTitle => "The form has an unknown type",
        WrongContentTypeText => {
            "This address accepts only forms of the type application/x-www-form-urlencoded, which browsers send."
        }
    }
}
