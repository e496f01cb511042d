//! Distances on the Earth, and cells that hold what is near.

use crate::description::Point;

/// The mean radius of the Earth (IUGG), in metres.
const RADIUS: f64 = 6_371_008.8;

/// The size of a cell, in millionths of a degree: a quarter of a degree, 28 km from south to north.
const CELL: i32 = 250_000;

/// Half of the way around, in millionths of a degree.
const HALF: i64 = 180_000_000;

/// A quarter of a degree by a quarter of a degree: how many south, how many west of it.
pub(super) type Cell = (i16, i16);

fn cell_of(micros: i64) -> i16 {
    i16::try_from(micros.div_euclid(i64::from(CELL))).unwrap_or(i16::MAX)
}

pub(super) fn cell(point: Point) -> Cell {
    (cell_of(i64::from(point.latitude())), cell_of(i64::from(point.longitude())))
}

fn radians(micros: i32) -> f64 {
    (f64::from(micros) / 1e6).to_radians()
}

/// The great-circle distance in metres, by the haversine formula. The Earth is taken as a sphere: up to half a
/// percent off.
pub(crate) fn distance(one: Point, two: Point) -> f64 {
    let (north, south) = (radians(one.latitude()), radians(two.latitude()));
    let across = radians(two.longitude()) - radians(one.longitude());
    let half =
        ((south - north) / 2.0).sin().powi(2) + north.cos() * south.cos() * (across / 2.0).sin().powi(2);
    2.0 * RADIUS * half.sqrt().min(1.0).asin()
}

/// The rows of cells that a circle can touch, each from its first to its last cell. Never too few.
pub(super) fn rows(centre: Point, metres: u32) -> Vec<(Cell, Cell)> {
    let (latitude, longitude) = (i64::from(centre.latitude()), i64::from(centre.longitude()));
    // A degree of latitude is 111,195 m on this sphere; 111,000 makes the box a little larger.
    let up = i64::from(metres) * 1_000_000 / 111_000 + 1;
    let (south, north) = ((latitude - up).max(-HALF / 2), (latitude + up).min(HALF / 2));
    let furthest = south.abs().max(north.abs());
    let spans = if furthest >= 89_900_000 {
        // A pole is in or near: all the way around.
        vec![(-HALF, HALF)]
    } else {
        let narrow = i32::try_from(furthest).map_or(1.0, |furthest| radians(furthest).cos());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            reason = "below 2^40: up is at most 2^36, and the cosine of less than 89.9 degrees is above 1/600"
        )]
        let side = ((up as f64) / narrow).ceil() as i64 + 1;
        let (west, east) = (longitude - side, longitude + side);
        if side >= HALF {
            vec![(-HALF, HALF)]
        } else if west < -HALF {
            vec![(west + 2 * HALF, HALF), (-HALF, east)]
        } else if east > HALF {
            vec![(west, HALF), (-HALF, east - 2 * HALF)]
        } else {
            vec![(west, east)]
        }
    };
    let mut rows = Vec::new();
    for row in cell_of(south)..=cell_of(north) {
        rows.extend(spans.iter().map(|(west, east)| ((row, cell_of(*west)), (row, cell_of(*east)))));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn point(latitude: f64, longitude: f64) -> Point {
        Point::parse(&format!("{latitude:.6}"), &format!("{longitude:.6}")).unwrap()
    }

    #[test]
    fn distances_are_those_of_the_sphere() {
        let (jeju, seoul) = (point(33.4507, 126.5707), point(37.5665, 126.978));
        let far = distance(jeju, seoul);
        assert!((458_000.0..461_000.0).contains(&far), "{far}");
        assert!(distance(jeju, jeju) < 1e-6);
        let around = distance(point(0.0, 179.9), point(0.0, -179.9));
        assert!((22_000.0..22_500.0).contains(&around), "{around}");
        let poles = distance(point(90.0, 0.0), point(-90.0, 77.0));
        assert!((poles - std::f64::consts::PI * RADIUS).abs() < 1.0, "{poles}");
    }

    proptest! {
        #[test]
        fn everything_in_a_circle_is_in_its_cells(
            from in (-90_000_000..=90_000_000_i32, -180_000_000..=180_000_000_i32),
            by in (-3_000_000..=3_000_000_i32, -3_000_000..=3_000_000_i32),
            metres in 0..500_000_u32,
        ) {
            let centre = Point::from_micros(from.0, from.1).unwrap();
            let mut east = from.1 + by.1;
            if east > 180_000_000 { east -= 360_000_000 }
            if east < -180_000_000 { east += 360_000_000 }
            let other = Point::from_micros((from.0 + by.0).clamp(-90_000_000, 90_000_000), east).unwrap();
            if distance(centre, other) <= f64::from(metres) {
                let at = cell(other);
                prop_assert!(rows(centre, metres).iter().any(|(from, to)| (*from..=*to).contains(&at)));
            }
        }
    }
}
