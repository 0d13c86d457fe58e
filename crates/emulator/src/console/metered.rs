//! The page of metered usage: the heat map of a day, the calendar of its month, and the slots.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use jiff::civil::Date;
use maud::{Markup, html};

use super::agreements::product_choice;
use super::days;
use super::fields::Fields;
use super::heat_map::{self, Drawing, tail};
use super::page::{self, Place, time};
use crate::emulator::Emulator;
use crate::limits::{CONSOLE_LINES_MAX, CONSOLE_PAGE_ROWS_MAX};
use crate::refusal::Refusal;
use crate::rules::window::Window;
use crate::world::{LineFilter, Metered, NewProduct};

pub(super) async fn show(State(emulator): State<Emulator>, query: Fields) -> Response {
    match view(&emulator, &query) {
        Ok(body) => page::page(
            &emulator,
            StatusCode::OK,
            Place::Metered,
            "Metered hours",
            &body,
        ),
        Err(error) => page::unreadable(&error),
    }
}

fn view(emulator: &Emulator, query: &Fields) -> Result<Markup, Refusal> {
    let day = days::requested(query, emulator.now())?;
    let line_page = page::number(query, "lines")?;
    let slot_page = page::number(query, "slots")?;
    let products = emulator.products();
    let (product, dimension) = (query.text("product"), query.text("dimension"));
    let of = LineFilter {
        from: days::start(day).unwrap_or_else(|| emulator.now()),
        product_code: Some(product).filter(|code| !code.is_empty()),
        dimension: Some(dimension).filter(|name| !name.is_empty()),
    };
    let skip = line_page
        .saturating_sub(1)
        .saturating_mul(CONSOLE_LINES_MAX);
    let size = CONSOLE_PAGE_ROWS_MAX;
    let (drawing, (line_count, lines), (slot_count, slots), by_day) = {
        let core = emulator.core();
        let world = &core.world;
        let window = Window {
            hours: world.settings.window_hours,
            month_end_rule: world.settings.month_end_rule,
        };
        let drawing = Drawing {
            from: of.from,
            now: core.clock.now(),
            window,
        };
        let by_day = days::month(day).map(|(from, until)| world.slots_by_day(from, until));
        (
            drawing,
            world.lines(of, skip, CONSOLE_LINES_MAX),
            world.metered_page(of, page::skipped(slot_page), size),
            by_day.unwrap_or_default(),
        )
    };
    let filters = [("product", product), ("dimension", dimension)];
    let day_text = day.to_string();
    let parameters = [filters[0], filters[1], ("day", day_text.as_str())];
    let caption = format!("Slots of {}, by hour (UTC)", day.strftime("%A, %d %B %Y"));
    Ok(html! {
        (choices(&products, day, product, dimension))
        (page::pages(("line of a buyer and a dimension", "lines of a buyer and a dimension"), "/metered", &parameters, "lines", (line_page, CONSOLE_LINES_MAX, line_count)))
        @if lines.is_empty() {
            p { "Nobody has an agreement on that day for the chosen product and dimension." }
        } @else {
            (heat_map::table(&lines, drawing, &caption))
        }
        (days::calendar(day, &by_day, &filters))
        h2 { "Slot by slot" }
        (page::pages(("slot", "slots"), "/metered", &parameters, "slots", (slot_page, size, slot_count)))
        @if !slots.is_empty() { (table(&slots, day)) }
        (heat_map::legend())
    })
}

fn choices(products: &[NewProduct], day: Date, product: &str, dimension: &str) -> Markup {
    html! {
        form.filters method="get" action="/_emulator/console/metered" {
            div {
                label for="day" { "Day" }
                input id="day" name="day" type="date" value=(day) required;
            }
            (product_choice(products, product))
            div {
                label for="dimension" { "Dimension" }
                input id="dimension" name="dimension" value=(dimension) list="dimensions" autocomplete="off" placeholder="any";
                datalist id="dimensions" {
                    @for product in products { @for name in &product.dimensions { option value=(name); } }
                }
            }
            button { "Show" }
        }
    }
}

fn table(slots: &[Metered], day: Date) -> Markup {
    html! {
        div.scroll role="region" aria-label="Slots" tabindex="0" {
            table {
                caption { "Slots of " (day) " in the order of their hours" }
                thead {
                    tr {
                        @for name in ["Hour", "Buyer", "Product", "Dimension", "Quantity", "Metering record", "Accepted"] {
                            th scope="col" { (name) }
                        }
                    }
                }
                tbody {
                    @for slot in slots {
                        tr {
                            th scope="row" { (time(slot.hour)) }
                            td {
                                (slot.account_id)
                                br;
                                small {
                                    @match &slot.license_arn {
                                        Some(arn) => { span title=(arn) { "license …" (tail(arn)) } },
                                        None => { "by product code " code { (slot.customer_identifier) } },
                                    }
                                }
                            }
                            td { (slot.product_code) br; small { (slot.region) } }
                            td { code { (slot.dimension) } }
                            td.number {
                                (slot.quantity)
                                @if !slot.allocations.is_empty() { br; small { (slot.allocations.len()) " allocations" } }
                            }
                            td { code { (slot.metering_record_id) } }
                            td { (time(slot.accepted_at)) }
                        }
                    }
                }
            }
        }
    }
}
