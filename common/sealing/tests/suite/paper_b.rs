//! What is wrong in Alqahtani 2024 as printed, shown: the rows of `docs/adr/0001-chaos-cipher.md` that a program can show.

use std::collections::HashSet;

fn logistic(r: f64, x: f64) -> f64 {
    r * x * (1.0 - x)
}

/// Row 1, with the paper's own example values r = 3.9, x0 = 0.5.
#[test]
fn the_printed_column_step_loses_columns() {
    for columns in [5_usize, 16, 512] {
        let mut x = 0.5;
        let mut used = HashSet::new();
        for _ in 0..columns {
            x = logistic(3.9, x);
            used.insert((x * columns as f64).floor() as usize);
        }
        assert!(used.len() < columns, "{} of {columns} columns survive", used.len());
    }
}

/// Row 2.
#[test]
fn the_printed_s_box_index_cannot_be_inverted() {
    let index = |pixel: u8| u32::from(pixel >> 4) * u32::from(pixel & 15);
    let reached: HashSet<u32> = (0..=255).map(index).collect();
    assert_eq!(reached.len(), 90);
    assert_eq!((0..=255).filter(|&pixel| index(pixel) == 0).count(), 31);
    assert_eq!(index(0x23), index(0x32));
}

/// Rows 3 to 6.
#[test]
fn the_printed_figures_are_not_what_they_follow_from() {
    let x1 = logistic(3.9, 0.5);
    let x2 = logistic(3.9, x1);
    assert!((x1 - 0.975).abs() < 1e-12);
    assert!((x2 - 0.095_062_5).abs() < 1e-12 && (x2 - 0.093_506_25).abs() > 1e-3);
    let printed_parameters = 3_488;
    assert_eq!(128 * (3 * 3 * 3 + 1), printed_parameters + 96);
    let printed_window = (0..=2).count() * (0..=2).count();
    assert_ne!(printed_window, 2 * 2);
    let printed_dense = 256;
    assert_eq!(64 * 64 * 32, 131_072);
    assert_ne!(64 * 64 * 32, printed_dense);
}
