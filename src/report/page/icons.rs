//! A shape for every way in which a step can stand, for the graph: none is told by colour alone. `page.css` has the same
//! shapes for texts.

/// The shapes, each with the id `i-` and the word. They take the colour of the text around them.
pub(super) const SYMBOLS: &str = "\
<svg width=\"0\" height=\"0\" class=\"symbols\" aria-hidden=\"true\" focusable=\"false\"><defs>
<symbol id=\"i-succeeded\" viewBox=\"0 0 16 16\"><path d=\"M3 8.6l3.4 3.4L13 4.6\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"2.2\" stroke-linecap=\"round\" stroke-linejoin=\"round\"/></symbol>
<symbol id=\"i-warned\" viewBox=\"0 0 16 16\"><path d=\"M8 2L15 14H1z\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.7\" stroke-linejoin=\"round\"/><path d=\"M8 6.4v3.4M8 11.6v.5\" stroke=\"currentColor\" stroke-width=\"1.7\" stroke-linecap=\"round\"/></symbol>
<symbol id=\"i-failed\" viewBox=\"0 0 16 16\"><circle cx=\"8\" cy=\"8\" r=\"7\" fill=\"currentColor\"/><path class=\"cut\" d=\"M5.4 5.4l5.2 5.2M10.6 5.4l-5.2 5.2\" stroke-width=\"1.9\" stroke-linecap=\"round\"/></symbol>
<symbol id=\"i-timed_out\" viewBox=\"0 0 16 16\"><circle cx=\"8\" cy=\"8\" r=\"6.2\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.7\"/><path d=\"M8 4.4V8l2.6 1.8\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.7\" stroke-linecap=\"round\"/></symbol>
<symbol id=\"i-cancelled\" viewBox=\"0 0 16 16\"><rect x=\"2.4\" y=\"2.4\" width=\"11.2\" height=\"11.2\" rx=\"2\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.7\"/><rect x=\"5.6\" y=\"5.6\" width=\"4.8\" height=\"4.8\" fill=\"currentColor\"/></symbol>
<symbol id=\"i-unknown\" viewBox=\"0 0 16 16\"><path d=\"M5 5.6C5 3.6 6.4 2.6 8 2.6s3 1 3 2.8c0 2.2-3 2.4-3 4.6M8 12.8v.4\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"2\" stroke-linecap=\"round\"/></symbol>
<symbol id=\"i-running\" viewBox=\"0 0 16 16\"><path d=\"M4.4 2.8l8.4 5.2-8.4 5.2z\" fill=\"currentColor\"/></symbol>
<symbol id=\"i-waiting\" viewBox=\"0 0 16 16\"><circle cx=\"3.2\" cy=\"8\" r=\"1.5\" fill=\"currentColor\"/><circle cx=\"8\" cy=\"8\" r=\"1.5\" fill=\"currentColor\"/><circle cx=\"12.8\" cy=\"8\" r=\"1.5\" fill=\"currentColor\"/></symbol>
<symbol id=\"i-skipped\" viewBox=\"0 0 16 16\"><path d=\"M3 4l4 4-4 4M8.6 4l4 4-4 4\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.8\" stroke-linecap=\"round\" stroke-linejoin=\"round\"/></symbol>
<symbol id=\"i-not_needed\" viewBox=\"0 0 16 16\"><path d=\"M3.4 8h9.2\" stroke=\"currentColor\" stroke-width=\"2\" stroke-linecap=\"round\"/></symbol>
<symbol id=\"i-blocked\" viewBox=\"0 0 16 16\"><circle cx=\"8\" cy=\"8\" r=\"6.2\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.7\"/><path d=\"M3.8 12.2l8.4-8.4\" stroke=\"currentColor\" stroke-width=\"1.7\"/></symbol>
<symbol id=\"i-deadline_missed\" viewBox=\"0 0 16 16\"><circle cx=\"8\" cy=\"8\" r=\"6.2\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.7\"/><path d=\"M8 4.4V8l2.6 1.8\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.7\" stroke-linecap=\"round\"/></symbol>
</defs></svg>
";
