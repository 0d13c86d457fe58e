//! The sign-up page: what the stack knows about the subscription, and the form.

use axum::http::StatusCode;
use marketplace::lifecycle::Status;
use maud::{Markup, html};

use super::content::Body;
use super::words::{Said, Words};
use super::{Problem, ProblemKind, SignUp, Visit};
use crate::page_settings::{FORM_TOKEN, Field, FieldKind};
use crate::texts::{MAX, TextKey};

/// The number of lines that a field with several lines shows.
const ROWS: &str = "4";

/// The title, the status and the text of the sign-up page.
pub(super) fn body_of(words: &Words<'_>, sign_up: &SignUp<'_>) -> Body {
    use TextKey::*;
    let (title, text, submit) = match sign_up.visit {
        Visit::New => (SignUpTitle, SignUpText, SignUpSubmit),
        Visit::Unfinished => (SignUpUnfinishedTitle, SignUpUnfinishedText, SignUpSubmit),
        Visit::Finished => (SignUpFinishedTitle, SignUpFinishedText, SignUpSubmitAgain),
    };
    let has_problems = !sign_up.problems.is_empty();
    let notes = notes(words, sign_up);
    Body {
        status: match has_problems {
            true => StatusCode::UNPROCESSABLE_ENTITY,
            false => StatusCode::OK,
        },
        title: words.say(title),
        has_problems,
        markup: html! {
            @if has_problems { (summary(words, sign_up.problems)) }
            (words.paragraph(text))
            @if !notes.is_empty() {
                ul.notes { @for note in &notes { li { (note) } } }
            }
            @if words.settings.sign_in_url().is_some() {
                p.sign-in {
                    (words.say(SignUpAccountQuestion)) " "
                    a href="sign-in" { (words.say(SignUpSignIn)) }
                }
            }
            form method="post" action="sign-up" novalidate {
                input type="hidden" name=(FORM_TOKEN) value=(sign_up.form_token);
                @for field in words.settings.fields() { (field_of(words, sign_up, field)) }
                button type="submit" { (words.say(submit)) }
            }
        },
    }
}

/// What the buyer should know about the subscription.
fn notes(words: &Words<'_>, sign_up: &SignUp<'_>) -> Vec<Said> {
    use TextKey::*;
    let is_finished = sign_up.visit == Visit::Finished;
    let facts = [
        (sign_up.free_trial, SignUpFreeTrial),
        (sign_up.status == Status::Pending, SignUpPending),
        (sign_up.status == Status::Ending, SignUpEnding),
        (sign_up.status == Status::Ended, SignUpEnded),
        (sign_up.same_product > 0, SignUpSameProduct),
        (sign_up.other_products > 0, SignUpOtherProducts),
    ];
    let mut notes: Vec<Said> = facts
        .into_iter()
        .filter(|(is_so, _)| *is_so)
        .map(|(_, key)| words.say(key))
        .collect();
    if !is_finished {
        notes.extend(words.say_turnaround(SignUpTurnaround));
    }
    notes
}

/// The list of all problems, each with a link to its field.
fn summary(words: &Words<'_>, problems: &[Problem]) -> Markup {
    let field_of = |problem: &Problem| {
        let mut fields = words.settings.fields().iter();
        fields.find(|field| field.id == problem.field)
    };
    html! {
        div.summary role="alert" {
            h2 { (words.say(TextKey::ProblemTitle)) }
            ul {
                @for problem in problems {
                    @if let Some(field) = field_of(problem) {
                        li {
                            a href={ "#" (input_id(field)) } {
                                (words.label(field)) ": " (in_words(words, problem.kind))
                            }
                        }
                    }
                }
            }
        }
    }
}

fn input_id(field: &Field) -> String {
    format!("field-{}", field.id)
}

/// A field with its label and the problems with its value.
fn field_of(words: &Words<'_>, sign_up: &SignUp<'_>, field: &Field) -> Markup {
    let id = input_id(field);
    let problem_id = format!("problem-{}", field.id);
    let problems: Vec<&Problem> = sign_up
        .problems
        .iter()
        .filter(|problem| problem.field == field.id)
        .collect();
    let has_problems = !problems.is_empty();
    let invalid = has_problems.then_some("true");
    let described_by = has_problems.then_some(&problem_id);
    let autocomplete = field.autocomplete.as_deref();
    let typed = sign_up.typed.get(&field.id).map_or("", String::as_str);
    let need = match field.required {
        true => TextKey::SignUpRequired,
        false => TextKey::SignUpOptional,
    };
    html! {
        div.field {
            label for=(id) {
                (words.label(field)) " " span.need { "(" (words.say(need)) ")" }
            }
            @if has_problems {
                div.problem id=(problem_id) {
                    @for problem in &problems { p { (in_words(words, problem.kind)) } }
                }
            }
            @match field.kind {
                FieldKind::Line => {
                    input id=(id) name=(field.id) type="text" autocomplete=[autocomplete] required[field.required] aria-invalid=[invalid] aria-describedby=[described_by] value=(typed);
                }
                FieldKind::Email => {
                    input id=(id) name=(field.id) type="email" spellcheck="false" autocapitalize="none" autocomplete=[autocomplete] required[field.required] aria-invalid=[invalid] aria-describedby=[described_by] value=(typed);
                }
                FieldKind::Text => {
                    // Browsers drop a line break at the beginning of the element.
                    textarea id=(id) name=(field.id) rows=(ROWS) autocomplete=[autocomplete] required[field.required] aria-invalid=[invalid] aria-describedby=[described_by] { "\n" (typed) }
                }
            }
        }
    }
}

fn in_words(words: &Words<'_>, kind: ProblemKind) -> Said {
    match kind {
        ProblemKind::Missing => words.say(TextKey::ProblemMissing),
        ProblemKind::TooLong { max } => {
            let max = max.to_string();
            words.say_with(TextKey::ProblemTooLong, &[(MAX, max.as_str())])
        }
        ProblemKind::Control => words.say(TextKey::ProblemControl),
        ProblemKind::Email => words.say(TextKey::ProblemEmail),
    }
}
