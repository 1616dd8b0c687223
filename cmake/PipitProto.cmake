# pipit-proto: the wire contract, and what others speak, compiled by protoc-c for the hub and for
# Linux tools and tests.
find_program(PROTOC_C protoc-c REQUIRED)
pkg_check_modules(PROTOBUF_C REQUIRED IMPORTED_TARGET GLOBAL libprotobuf-c)
set(PIPIT_PROTO_OUT ${CMAKE_BINARY_DIR}/proto)
set(PIPIT_PROTO_SOURCES)
file(MAKE_DIRECTORY ${PIPIT_PROTO_OUT})
foreach(name pipit/v1/pipit sparkplug/sparkplug_b cloudevents/cloudevents protobuf/descriptor_set)
  add_custom_command(
    OUTPUT ${PIPIT_PROTO_OUT}/${name}.pb-c.c ${PIPIT_PROTO_OUT}/${name}.pb-c.h
    COMMAND ${PROTOC_C} -I ${PROJECT_SOURCE_DIR}/proto --c_out=${PIPIT_PROTO_OUT}
            ${PROJECT_SOURCE_DIR}/proto/${name}.proto
    DEPENDS ${PROJECT_SOURCE_DIR}/proto/${name}.proto
    COMMENT "protoc-c ${name}.proto")
  list(APPEND PIPIT_PROTO_SOURCES ${PIPIT_PROTO_OUT}/${name}.pb-c.c)
endforeach()
add_library(pipit-proto STATIC ${PIPIT_PROTO_SOURCES})
target_compile_options(pipit-proto PRIVATE -w) # Generated code.
target_include_directories(pipit-proto SYSTEM PUBLIC ${PIPIT_PROTO_OUT})
target_link_libraries(pipit-proto PUBLIC PkgConfig::PROTOBUF_C)
